using System.Reflection;
using System.Xml.Linq;
using Platform.Testing;

namespace Architecture.Tests;

/// <summary>Law 1: a module references the kernel, its own contracts and others' contracts; nothing else of ours. Modules are found, so a new one cannot be forgotten.</summary>
public sealed class Law1_ModulesKnowOnlyContracts
{
    [Fact]
    public void Every_folder_of_modules_is_a_module_that_the_host_loads() => Unloaded(House.ModuleFolders).ShouldHold();

    [Fact]
    public void A_folder_that_the_host_does_not_load_is_noticed() => Unloaded([.. House.ModuleFolders, "Forgotten"]).ShouldNotBeEmpty();

    [Fact]
    public void No_module_is_compiled_against_another_module() => House.ModuleAssemblies.SelectMany(Trespasses).ShouldHold();

    [Fact]
    public void Contracts_are_compiled_against_the_kernel_alone() =>
        House.ModuleFolders.Select(f => Assembly.Load($"Platform.{f}.Contracts"))
            .SelectMany(a => a.GetReferencedAssemblies().Where(r => r.Name!.StartsWith("Platform.", StringComparison.Ordinal) && r.Name != "Platform.Kernel").Select(r => $"{a.GetName().Name} uses {r.Name}"))
            .ShouldHold();

    [Fact]
    public void A_module_compiled_against_another_is_noticed() => Trespasses(House.Broken.Assembly).ShouldContain("Platform.Broken uses Platform.Tenancy");

    [Fact]
    public void No_module_project_references_another_module() => Directory.GetFiles(Path.Combine(SharedData.Root, "src", "Modules"), "*.csproj", SearchOption.AllDirectories).SelectMany(ProjectTrespasses).ShouldHold();

    [Fact]
    public void A_project_reference_to_another_module_is_noticed() =>
        ProjectTrespasses(Path.Combine(SharedData.Root, "tests", "Architecture.Fixtures", "Architecture.Fixtures.csproj")).ShouldNotBeEmpty();

    private static IEnumerable<string> Unloaded(IEnumerable<string> folders) =>
        folders.Where(f => House.Modules.All(m => !string.Equals(m.Name, f, StringComparison.OrdinalIgnoreCase))).Select(f => $"src/Modules/{f} is not loaded by the host");

    private static IEnumerable<string> Trespasses(Assembly module) =>
        module.GetReferencedAssemblies().Select(r => r.Name!)
            .Where(r => r.StartsWith("Platform.", StringComparison.Ordinal) && r != "Platform.Kernel" && !r.EndsWith(".Contracts", StringComparison.Ordinal))
            .Select(r => $"{module.GetName().Name} uses {r}");

    // The compiler drops references that are not used yet; the project file still shows the intent.
    private static IEnumerable<string> ProjectTrespasses(string project) =>
        XDocument.Load(project).Descendants("ProjectReference").Select(r => Path.GetFileNameWithoutExtension(r.Attribute("Include")!.Value.Replace('\\', '/')))
            .Where(r => r != "Kernel" && !r.EndsWith(".Contracts", StringComparison.Ordinal))
            .Select(r => $"{Path.GetFileName(project)} references {r}");
}
