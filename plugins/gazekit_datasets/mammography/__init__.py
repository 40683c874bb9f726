"""Mammography: public sets of mammograms, the phantom, and the rules about breasts that they share."""
