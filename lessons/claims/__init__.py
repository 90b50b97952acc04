"""Every claim of the source texts as a program, one file a topic (see :mod:`minireg.course.claims`)."""
