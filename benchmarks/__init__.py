"""Speed against PyTorch, as ratios of medians measured in one run."""
