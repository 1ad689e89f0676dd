# After the files are there. `first` is yes where no version was installed before.
systemd-sysusers hooks.conf
systemd-tmpfiles --create hooks.conf || true
# Secrets may be written into it. Later its group is the administrator's.
if [ "$first" = yes ] && [ -e /etc/hooks/hooks.toml ]; then
    chgrp hooks /etc/hooks/hooks.toml
fi
if [ ! -s /etc/hooks/admin.token ]; then
    (umask 077 && head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=' > /etc/hooks/admin.token.new)
    chgrp hooks /etc/hooks/admin.token.new
    chmod 0640 /etc/hooks/admin.token.new
    mv /etc/hooks/admin.token.new /etc/hooks/admin.token
fi
