"""What makes the base image one certain machine: the files of its overlay before its first boot."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

from freehold.errors import BadInput
from freehold.lab.keys import KeyPair
from freehold.models.hall import Device, DeviceKind, Hall
from freehold.models.network import QUARANTINE_VLAN, PortConfig, PortMode

FACTS = "etc/freehold-lab"
"""Serial numbers are files below this folder, where a real machine has them below /sys."""

SSHD = """\
HostKey /etc/ssh/ssh_host_ed25519_key
PasswordAuthentication no
PermitRootLogin prohibit-password
UseDNS no
MaxStartups 50:30:100
"""

LLDPD = """\
configure system hostname .
configure lldp portidsubtype ifname
configure lldp tx-interval 2
configure lldp tx-hold 2
configure system interface pattern swp*,eth*,!mgmt0
configure system ip management pattern mgmt0
"""

# What the restricted account of a switch may do with sudo, and nothing else.
SUDOERS = """\
freehold ALL=(root) NOPASSWD: /usr/bin/ovs-vsctl, /usr/bin/ovs-appctl fdb/show *, \\
    /usr/sbin/lldpcli show *, /usr/sbin/lldpcli -f json show *, /usr/sbin/lldpcli -f json0 show *
"""

NETWORK_UNIT = f"""\
[Unit]
Description=Network cards of this machine
Before=network-pre.target network.target ssh.service lldpd.service
Wants=network-pre.target
DefaultDependencies=no
After=local-fs.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -e /{FACTS}/network

[Install]
WantedBy=multi-user.target
"""

SWITCH_UNIT = f"""\
[Unit]
Description=First configuration of this switch
Requires=openvswitch-switch.service
After=openvswitch-switch.service
Before=ssh.service
ConditionPathExists=!/{FACTS}/configured

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -e /{FACTS}/switch
ExecStartPost=/usr/bin/touch /{FACTS}/configured

[Install]
WantedBy=multi-user.target
"""

# Large segments go through the switch in one piece, as the senders' cards leave them: a switch in userspace pays for
# every frame, and all of them share this computer. Read when the switch starts.
FORWARDING = """\
[Service]
ExecStartPre=/usr/bin/ovs-vsctl --no-wait --timeout=20 set Open_vSwitch . other_config:userspace-tso-enable=true
"""

UPPER_MODES = {"root": 0o700, "root/.ssh": 0o700}


def write_files(upper: Path, hall: Hall, device: Device, host_key: KeyPair, access_key: str) -> None:
    """Write the machine's own files into the upper layer of its overlay."""
    for path, (content, mode) in _files(hall, device, host_key, access_key).items():
        file = upper / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        file.chmod(mode)
    for path, mode in UPPER_MODES.items():
        if (upper / path).is_dir():
            (upper / path).chmod(mode)
    wants = upper / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    for unit in _units(device):
        (wants / unit).symlink_to(f"/etc/systemd/system/{unit}")


def _units(device: Device) -> list[str]:
    return ["lab-network.service", *(["lab-switch.service"] if device.kind is DeviceKind.SWITCH else [])]


def _files(hall: Hall, device: Device, host_key: KeyPair, access_key: str) -> dict[str, tuple[str, int]]:
    files = {
        "etc/hostname": (f"{device.name}\n", 0o644),
        "etc/hosts": (f"127.0.0.1 localhost\n127.0.1.1 {device.name}\n", 0o644),
        "etc/resolv.conf": ("", 0o644),
        # Without an id systemd takes each boot for the first and enables every unit.
        "etc/machine-id": (f"{secrets.token_hex(16)}\n", 0o444),
        "etc/ssh/sshd_config.d/lab.conf": (SSHD, 0o644),
        "etc/ssh/ssh_host_ed25519_key": (host_key.private, 0o600),
        "etc/ssh/ssh_host_ed25519_key.pub": (host_key.public, 0o644),
        "etc/lldpd.d/lab.conf": (LLDPD, 0o644),
        "etc/systemd/system/lab-network.service": (NETWORK_UNIT, 0o644),
        f"{FACTS}/product_serial": (f"{device.serial}\n", 0o444),
        f"{FACTS}/network": ("\n".join(_network(hall, device)) + "\n", 0o644),
    }
    for disk in device.disks:
        files[f"{FACTS}/disks/{disk.name}/serial"] = (f"{disk.serial}\n", 0o444)
    if device.kind is DeviceKind.SWITCH:
        files["etc/systemd/system/lab-switch.service"] = (SWITCH_UNIT, 0o644)
        files["etc/systemd/system/ovs-vswitchd.service.d/lab.conf"] = (FORWARDING, 0o644)
        files[f"{FACTS}/switch"] = (_first_configuration(device, access_key), 0o600)
        files["etc/sudoers.d/freehold"] = (SUDOERS, 0o440)
    else:
        files["root/.ssh/authorized_keys"] = (access_key, 0o600)
    return files


def _network(hall: Hall, device: Device) -> Iterator[str]:
    """Shell lines: cards up, management address; a host has its address and sends everything else out of its card."""
    yield f"ip addr replace {device.management.address}/{hall.management.prefixlen} dev mgmt0"
    yield "ip link set mgmt0 up"
    for port in device.port_names():
        yield f"ip link set {port} up"
    if device.address is not None:
        yield f"ip addr replace {device.address} dev {device.nics[0].name}"
        yield f"ip route replace default dev {device.nics[0].name}"


def _first_configuration(switch: Device, access_key: str) -> str:
    """Shell lines: the restricted account, and all ports in one transaction, closed unless the hall says otherwise."""
    user = switch.management.user
    home = f"/home/{user}/.ssh"
    ports = " ".join(f"-- --may-exist add-port br0 {p.name} {_settings(p.initial)}" for p in switch.ports)
    bridge = "set bridge br0 datapath_type=netdev fail_mode=standalone other_config:disable-in-band=true"
    return f"""\
id {user} >/dev/null 2>&1 || useradd --create-home --shell /bin/bash {user}
install -d -m 700 -o {user} -g {user} {home}
cat >{home}/authorized_keys <<'END'
{access_key.strip()}
END
chown {user}: {home}/authorized_keys
chmod 600 {home}/authorized_keys
ovs-vsctl --timeout=20 --may-exist add-br br0 -- {bridge} {ports}
"""


def _settings(config: PortConfig) -> str:
    described = f' external_ids:description="\\"{config.description}\\""' if config.description else ""
    match config.mode:
        case PortMode.CLOSED:
            return f"tag={QUARANTINE_VLAN} vlan_mode=access protected=true"
        case PortMode.ACCESS:
            return f"tag={config.vlan} vlan_mode=access{described}"
        case PortMode.TRUNK:
            # A trunk without VLANs would carry all of them; 1 is never used, so it carries nothing.
            vlans = ",".join(str(v) for v in config.trunk_vlans) or "1"
            return f"vlan_mode=trunk trunks={vlans}{described}"
        case PortMode.OTHER:
            raise BadInput(f"initial.mode {config.mode!r}: is only read; use closed, access or trunk")
