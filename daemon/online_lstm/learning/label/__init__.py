"""Task label: predict the label of a sequence after each of its samples."""
