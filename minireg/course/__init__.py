"""The course: claims as programs, lessons, and what runs them."""
