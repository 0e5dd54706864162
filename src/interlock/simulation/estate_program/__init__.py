"""The simulated estate: one process that plays every system around Interlock, over real files and sockets.

    web shop       posts orders, tries again, repeats itself, contradicts itself, cancels, captures, refunds
    tills          drop the night's CSV exports, one of them half-written first, one of them twice
    slow DC        takes releases as CSV files, acknowledges and ships by CSV files, in parts, with short picks
    quick 3PL      takes releases over HTTP, fails now and then, acknowledges and confirms over the API
    stores         take releases over HTTP, reject some picks, hand over pick-ups
    returns desk   authorizes and receives returns
    back office    counts stock before and after

    python -m interlock.simulation.estate_program PLAN_DIR --interlock http://127.0.0.1:8080

It is a stranger to Interlock: it imports nothing else of it and speaks only through the public edges. What it does
follows from the plan's seed and each order's number, so that it does the same whenever it is run;
docs/simulated-estate.md has the shares and the report. Traffic goes to the loopback address only.
"""
