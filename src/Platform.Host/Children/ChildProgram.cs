using System.Text.Json;
using Nerdbank.Streams;
using Platform.Kernel;

namespace Platform.Host.Children;

/// <summary>Child's side: finds each work by name among the modules' and runs it, until there is no more.</summary>
internal static class ChildProgram
{
    public static async Task<int> RunAsync(IEnumerable<IModule> modules)
    {
        var services = new ServiceCollection();
        var configuration = new ConfigurationBuilder().Build();
        foreach (var module in modules) module.AddServices(services, configuration);
        IChildWork[] works = [.. services.Where(s => s.ServiceType == typeof(IChildWork)).Select(s => (IChildWork)Activator.CreateInstance(s.ImplementationType!)!)];
        await using var input = Console.OpenStandardInput();
        await using var output = Console.OpenStandardOutput();
        try
        {
            while (await NextAsync(input) is { } name)
            {
                var work = works.Single(w => w.Name == name);
                await using (var given = input.ReadSubstream())
                await using (var result = output.WriteSubstream())
                {
                    await work.RunAsync(given, result, new DirectProgress(), CancellationToken.None);
                    await given.CopyToAsync(Stream.Null);
                }

                await output.WriteAsync((byte[])[Child.Whole]);
                await output.FlushAsync();
            }

            return 0;
        }
        catch (ChildWorkRefusedException e)
        {
            Tell(new(Refusal: e.Refusal));
            return 3;
        }
        catch (Exception e)
        {
            Tell(new(Failure: e.ToString()));
            return 1;
        }
    }

    private static async Task<string?> NextAsync(Stream input)
    {
        try
        {
            return await ChildFrames.ReadHeaderAsync<string>(input, CancellationToken.None);
        }
        catch (EndOfStreamException)
        {
            return null;
        }
    }

    private static void Tell(ChildMessage message) => Console.Error.WriteLine(JsonSerializer.Serialize(message));

    /// <summary>Writes at once and in order; the library's Progress would post to the thread pool.</summary>
    private sealed class DirectProgress : IProgress<ChildProgress>
    {
        public void Report(ChildProgress value) => Tell(new(Progress: value));
    }
}
