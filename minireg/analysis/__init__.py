"""What regularization does to a function and its minimum: curvature, bounds, duality, paths."""
