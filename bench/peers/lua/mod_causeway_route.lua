-- Static s2s routes: remote domain -> { address, port }, from the option `causeway_routes`.
-- A domain without a route has no address at all, so that no test asks the network. Without the
-- option another module finds the way.
-- COMPAT Prosody 0.12: it has no event before connecting, so the SRV resolver is replaced.

module:set_global();

local manual = require "net.resolvers.manual";
local service = require "net.resolvers.service";

local from_dns = service.new;

local function from_routes(domain, name, protocol, extra)
	if name ~= "xmpp-server" and name ~= "xmpps-server" then
		return from_dns(domain, name, protocol, extra);
	end
	local route = module:get_option("causeway_routes")[domain];
	local targets = {};
	-- The routes speak STARTTLS: the direct TLS service of XEP-0368 has no target.
	if route and name == "xmpp-server" then
		targets[1] = { route[1]:find(":", 1, true) and "tcp6" or "tcp4", route[1], route[2], extra };
	end
	local resolver = manual.new(targets, protocol, extra);
	resolver.last_error = "no static route";
	return resolver;
end

if module:get_option("causeway_routes") then
	service.new = from_routes;
end

-- To standard output, so that no log level can hide it from whoever waits for it.
module:hook("server-started", function ()
	print("causeway_route: server started");
	io.stdout:flush();
end);

function module.unload()
	service.new = from_dns;
end
