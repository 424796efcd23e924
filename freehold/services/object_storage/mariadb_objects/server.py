"""Swift's own object server, with its diskfiles in MariaDB."""

from swift.obj import server

from .manager import Router


class ObjectController(server.ObjectController):
    def setup(self, conf):
        super().setup(conf)
        self._diskfile_router = Router(conf, self.logger)


def app_factory(global_conf, **local_conf):
    """paste.app_factory"""
    return ObjectController({**global_conf, **local_conf})
