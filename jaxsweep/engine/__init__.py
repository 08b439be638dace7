"""How thousands of networks train at once: plans, compiled programs, tiles, threads, memory."""
