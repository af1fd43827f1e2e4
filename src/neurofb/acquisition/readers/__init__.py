"""Recordings of other programs, read into a `Recording`: EDF, BDF, BrainVision, FIF, EEGLAB, XDF, OpenBCI text."""
