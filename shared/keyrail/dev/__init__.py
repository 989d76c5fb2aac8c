"""What a developer machine needs: a real server, the functions as processes, one local port."""
