"""What limits a run, what a change would buy, what others claim, what a sweep finds."""
