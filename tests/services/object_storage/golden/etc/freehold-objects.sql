-- Run once as root on the server. The operating system vouches for the user swift: there is no password.
CREATE DATABASE IF NOT EXISTS swift_objects;
CREATE USER IF NOT EXISTS swift@localhost IDENTIFIED VIA unix_socket;
GRANT ALL PRIVILEGES ON swift_objects.* TO swift@localhost;
