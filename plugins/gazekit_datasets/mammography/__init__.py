"""Read mammography data: public sets, the phantom, and their common rules about breasts."""
