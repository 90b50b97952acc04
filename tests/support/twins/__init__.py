"""What PyTorch has for each function, layer, loss and optimizer, under minireg's names."""
