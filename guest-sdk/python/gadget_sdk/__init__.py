"""What a gadget's guest in Python stands on.

Authors use the package ``gadget``, which ``ig image build`` generates for each gadget from its manifest and its
records' BTF: it shows what they need of this one under their gadget's own names.

Outside of WebAssembly the host has a stand-in, ``testing``, so that a gadget's logic is tested as any Python is.
"""
