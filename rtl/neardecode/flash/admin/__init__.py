"""Admin commands of a channel, with its registers, features and logs."""
