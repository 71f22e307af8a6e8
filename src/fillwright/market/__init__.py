"""What is tradable now: pools loaded from accounts, frozen snapshots, prices."""
