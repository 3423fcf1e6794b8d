"""What softlaunch.client costs an application: each variant, each call, and its start."""
