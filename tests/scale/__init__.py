"""`make scale`: what a turn costs as the ensemble grows to 255 members, and the bucket to 1,000 clusters."""
