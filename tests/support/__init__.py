"""What tests share: a strict stand-in for CuPy, a CUDA compiler on the CPU, drawn cases, oracles."""
