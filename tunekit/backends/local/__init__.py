"""Training on this machine, in a child process that shares only a folder with us."""
