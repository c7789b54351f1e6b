"""The full lab: a region whose instances are booted Debian containers, with real systemd and cloud-init, launched from an AMI."""
