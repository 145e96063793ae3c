using System.Diagnostics;
using System.Globalization;

namespace Platform.Load;

/// <summary>What must survive the worst moment, tried for real: under load something fails, and afterwards every prediction that was answered is in the
/// journal once and in the usage once.</summary>
internal static class Faults
{
    private static readonly (string Name, Func<string, string[], Task<int>> RunAsync)[] Groups =
        [("kills", KillsAsync), ("disk", DiskFault.RunAsync), ("models", ModelFaults.RunAsync), ("clients", ClientFaults.RunAsync)];

    public static async Task<int> RunAsync(string host, string[] options)
    {
        var only = Benchmarks.Option(options, "--only");
        if (only is not null && Groups.All(group => group.Name != only)) throw new ArgumentException($"--only takes one of: {string.Join(", ", Groups.Select(group => group.Name))}.");
        var failures = 0;
        foreach (var (name, runAsync) in Groups)
        {
            if (only is null || only == name) failures += await runAsync(host, options);
        }

        Console.WriteLine(failures == 0 ? "\nNothing that was answered was lost or counted twice." : $"\n{failures} rounds failed.");
        return failures == 0 ? 0 : 1;
    }

    private static async Task<int> KillsAsync(string host, string[] options)
    {
        var rounds = int.Parse(Benchmarks.Option(options, "--rounds") ?? "5", CultureInfo.InvariantCulture);
        await using var platform = await RunningPlatform.StartAsync(host);
        using var tenant = await platform.TenantAsync("faults");
        var model = Model.Trees();
        await tenant.DeployAsync(model, "trees");
        var ledger = new Ledger(platform, tenant, tenant.Infer("trees"), [.. model.Rows(500).Select(row => Bodies.Json(model, row))]);
        Ledger.Head();

        await tenant.AddVersionAsync(model);
        var swaps = await ledger.TryAsync("alias moved 20 times", async () =>
        {
            var began = Stopwatch.GetTimestamp();
            for (var i = 0; i < 20; i++) await tenant.PutAsync($"registry/models/{model.Name}/aliases/champion", new { version = 2 - (i % 2) });
            return Stopwatch.GetElapsedTime(began);
        });
        ledger.Must(swaps.Refused + swaps.Broken == 0, "A moved alias cost requests.");

        for (var round = 1; round <= rounds; round++)
        {
            await ledger.TryAsync("kill -9 of the host", async () =>
            {
                platform.Signal(9);
                await platform.EndedAsync();
                return await platform.StartAsync();
            });
            await ledger.TryAsync("kill -9 of PostgreSQL", async () => await RecoversAfterAsync(() => RunningPlatform.SignalTo(platform.PostgresId(), 9)));
            await ledger.TryAsync("PostgreSQL stopped (SIGINT) and started again by the host", async () => await RecoversAfterAsync(() => RunningPlatform.SignalTo(platform.PostgresId(), 2)));
        }

        await ledger.TryAsync("kill -9 of both at once", async () =>
        {
            var postgres = platform.PostgresId();
            platform.Signal(9);
            RunningPlatform.SignalTo(postgres, 9);
            await platform.EndedAsync();
            return await platform.StartAsync();
        });
        return ledger.Failures;

        Task<TimeSpan> RecoversAfterAsync(Action strike)
        {
            var before = platform.PostgresId();
            strike();
            return Ledger.ReadyAsync(platform, () => platform.PostgresId() is var now && (now == 0 || now == before));
        }
    }
}
