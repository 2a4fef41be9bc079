"""Accuracy on published benchmark protocols with statistics over seeds, and speed on this machine."""
