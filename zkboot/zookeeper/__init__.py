"""What a ZooKeeper server is to zkboot: its process, its files, and the ensemble as it answers."""
