"""The only loops over orders: intake, worker, and the journey of one order."""
