# nginx, for what stands before our servers or before S3.

# nginx_start NAME DIR: one process, NAME of proc_start DIR, with what comes on
# standard input in its http {}; its logs and files are in DIR/NAME.
nginx_start() {
	local dir=$2/$1
	mkdir -p "$dir"
	cat >"$dir/nginx.conf" <<-CONF
	daemon off;
	master_process off;
	pid $dir/pid;
	error_log stderr;
	events { worker_connections 256; }
	http {
		client_body_temp_path $dir/body;
		proxy_temp_path $dir/proxy;
		fastcgi_temp_path $dir/fastcgi;
		uwsgi_temp_path $dir/uwsgi;
		scgi_temp_path $dir/scgi;
		$(cat)
	}
	CONF
	proc_start "$2" "$1" "$(PATH=$PATH:/usr/sbin command -v nginx)" \
	    -p "$dir" -c "$dir/nginx.conf"
}
