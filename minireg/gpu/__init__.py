"""All that only a GPU needs: passes traced into kernels, kernels by hand, launches."""
