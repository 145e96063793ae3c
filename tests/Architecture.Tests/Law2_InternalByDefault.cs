using System.Reflection;
using Microsoft.AspNetCore.Components;
using Platform.Kernel;

namespace Architecture.Tests;

/// <summary>Law 2: public in a module are its module class and its pages; everything else is internal.</summary>
public sealed class Law2_InternalByDefault
{
    [Fact]
    public void Modules_show_nothing_but_their_module_class_and_their_pages() => House.ModuleAssemblies.SelectMany(Exposed).ShouldHold();

    [Fact]
    public void A_public_type_of_another_kind_is_noticed() => Exposed(House.Broken.Assembly).ShouldContain("Platform.Broken.ThingHappened");

    private static IEnumerable<string> Exposed(Assembly module) =>
        module.GetExportedTypes().Where(t => !t.IsAssignableTo(typeof(IModule)) && !t.IsAssignableTo(typeof(IComponent)) && !IsGenerated(t)).Select(t => t.FullName!);

    // protoc and the Razor compiler write public types into a namespace of their own making.
    private static bool IsGenerated(Type type) =>
        type.GetCustomAttribute<System.CodeDom.Compiler.GeneratedCodeAttribute>() is not null || type.Name == "_Imports" || (type.IsNested && type.DeclaringType!.IsAssignableTo(typeof(IComponent)));
}
