"""What AWS is to zkboot: the bucket and the secrets, the Auto Scaling group and EC2, the instance metadata."""
