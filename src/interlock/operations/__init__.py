"""What people do with a running Interlock: prove that it is right, and put right what is not."""
