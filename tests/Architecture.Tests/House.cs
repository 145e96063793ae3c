using System.Reflection;
using Platform.Kernel;
using Platform.Testing;

namespace Architecture.Tests;

/// <summary>What the laws are held against: the modules as they are found, and the one that breaks everything.</summary>
internal static class House
{
    /// <summary>Folders under src/Modules, but for the kernel: what ought to be modules.</summary>
    public static IReadOnlyList<string> ModuleFolders { get; } =
        [.. Directory.GetDirectories(Path.Combine(SharedData.Root, "src", "Modules")).Select(f => Path.GetFileName(f)!).Where(f => f != "Kernel").Order()];

    /// <summary>The modules the host loads, found through its own references and not from a list here.</summary>
    public static IReadOnlyList<IModule> Modules { get; } =
        [.. typeof(Program).Assembly.GetReferencedAssemblies()
            .Where(a => a.Name!.StartsWith("Platform.", StringComparison.Ordinal)).Select(Assembly.Load)
            .SelectMany(a => a.GetTypes()).Where(t => t.IsClass && t.IsAssignableTo(typeof(IModule)))
            .Select(t => (IModule)Activator.CreateInstance(t)!).OrderBy(m => m.Name, StringComparer.Ordinal)];

    public static IModule Broken { get; } = new Platform.Broken.BrokenModule();

    public static IEnumerable<Assembly> ModuleAssemblies => Modules.Select(m => m.Assembly);

    /// <summary>A list that is empty when the law holds, and else says where it is broken.</summary>
    public static void ShouldHold(this IEnumerable<string> violations) => violations.ShouldBeEmpty();
}
