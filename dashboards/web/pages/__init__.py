"""The pages: thin. They ask the plant in a worker thread and put what `views/` makes of it on screen."""
