"""Where points go besides the historian."""
