"""`python -m interlock.cli`: the `interlock` program."""

from interlock.cli import main

main()
