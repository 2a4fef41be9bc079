"""Task label: predict the label of a sequence while it goes on."""
