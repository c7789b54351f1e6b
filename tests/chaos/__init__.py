"""`make chaos`: every fault of the lab against every moment, on real servers, and one report to look at."""
