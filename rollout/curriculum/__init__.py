"""What the problems' pass rates have been, and the stages of a curriculum; samplers use both."""
