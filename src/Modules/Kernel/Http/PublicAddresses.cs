using System.Net;
using System.Net.Sockets;

namespace Platform.Kernel.Http;

/// <summary>Which addresses tenants may have the platform call. A tenant must not reach through us what it could not reach itself: the address a name stands for
/// is judged at the moment of connecting, so that a name cannot mean one thing when it is looked at and another when it is called.</summary>
/// <param name="allowed">Hosts, addresses and networks the operator allows though they are not public.</param>
public sealed class PublicAddresses(IReadOnlyList<string> allowed)
{
    private static readonly IPNetwork[] Special =
    [.. ((string[])[
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "::/128", "::1/128", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "fc00::/7", "fe80::/10", "ff00::/8"]).Select(IPNetwork.Parse)];

    private readonly HashSet<string> names = allowed.Where(host => Network(host) is null).ToHashSet(StringComparer.OrdinalIgnoreCase);
    private readonly IPNetwork[] networks = [.. allowed.Select(Network).OfType<IPNetwork>()];

    /// <summary>Whether an address belongs to the internet at large: neither this machine nor a private, link-local, shared, translated or reserved range (IANA special-purpose registries).</summary>
    public static bool IsPublic(IPAddress address)
    {
        if (address.IsIPv4MappedToIPv6) address = address.MapToIPv4();
        return !Array.Exists(Special, network => network.BaseAddress.AddressFamily == address.AddressFamily && network.Contains(address));
    }

    /// <summary>Whether the operator has named this very host, or a network its literal address is in.</summary>
    public bool IsNamed(string host) => names.Contains(host) || (IPAddress.TryParse(host.Trim('[', ']'), out var address) && Array.Exists(networks, network => network.Contains(address)));

    /// <summary>A client's handler that connects to allowed addresses alone. It follows no redirects, uses no proxy and keeps no cookies.</summary>
    public SocketsHttpHandler Handler() => new()
    {
        AllowAutoRedirect = false,
        UseProxy = false,
        UseCookies = false,
        ConnectTimeout = TimeSpan.FromSeconds(3),
        PooledConnectionLifetime = TimeSpan.FromMinutes(5),
        MaxConnectionsPerServer = 64,
        ConnectCallback = (context, ct) => ConnectAsync(context.DnsEndPoint, ct),
    };

    private static IPNetwork? Network(string host) =>
        IPNetwork.TryParse(host, out var network) ? network
        : IPAddress.TryParse(host, out var address) ? new IPNetwork(address, address.AddressFamily is AddressFamily.InterNetwork ? 32 : 128)
        : null;

    private async ValueTask<Stream> ConnectAsync(DnsEndPoint to, CancellationToken ct)
    {
        var addresses = IPAddress.TryParse(to.Host, out var literal) ? [literal] : await Dns.GetHostAddressesAsync(to.Host, ct);
        var may = names.Contains(to.Host) ? addresses : Array.FindAll(addresses, address => IsPublic(address) || Array.Exists(networks, network => network.Contains(address)));
        if (may.Length == 0) throw new ForbiddenAddressException(to.Host);
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(may, to.Port, ct);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}

/// <summary>The host has only addresses that tenants may not reach through us.</summary>
public sealed class ForbiddenAddressException(string host) : IOException($"The host '{host}' has no address that may be called from here.");
