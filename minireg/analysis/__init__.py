"""What regularization does to a function and its minimum: curvature, Lipschitz bounds, duality, paths."""
