"""The counting client itself: runs on a customer's host, with Debian's Python and boto3 and nothing of Freehold."""
