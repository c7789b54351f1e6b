"""zkboot: ZooKeeper ensembles on EC2 that build and keep themselves."""

__version__ = "0.1.0"
