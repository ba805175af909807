"""Ways to look at a profile. Each is imported by itself: what one needs costs no other anything."""
