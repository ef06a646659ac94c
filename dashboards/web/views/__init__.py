"""What the pages show, as pure functions: figures in, HTML and chart options out. Tested without a browser."""
