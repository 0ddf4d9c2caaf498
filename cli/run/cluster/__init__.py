"""Work on the workers of a cluster: what the runner sees of it is a maker."""
