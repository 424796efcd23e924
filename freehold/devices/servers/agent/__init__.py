"""The program that Freehold runs on a server while it works there: standard library only, Python 3.11 or newer.

It is never installed: these modules travel over SSH into a running interpreter (`freehold.devices.servers.session`)
and are gone with the connection. It does single things when told to; what is to be done is decided by Freehold.
"""
