"""Drivers of stimulators; each one keeps the contract of `stimulation.driver`."""
