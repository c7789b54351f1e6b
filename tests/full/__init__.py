"""Stories of booted instances. They need root, Linux and Packer, and skip loudly without."""
